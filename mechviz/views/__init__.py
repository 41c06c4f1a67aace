"""The display functions, one file each."""
