"""Films in colour that do not flicker: reading, cuts, motion, steady colours, writing. PyAV is imported when used."""
