"""The form of the update: which matrices the few trained numbers can reach, and how they are applied."""
