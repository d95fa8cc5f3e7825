"""What a served model is: its signatures, its version folders, loading it, and the generator that comes along."""
