"""Where variants differ: a folder for each field of `Recipe`, and in it a file for each variant that moves there."""
