"""The trained generator that comes with Tintype: one packed file in the package, unpacked once for each user."""
