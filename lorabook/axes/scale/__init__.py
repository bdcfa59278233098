"""The factor s in front of the update, as a function of α and r."""
