"""The factor s in ΔW = s·BA, as a function of α and r."""
