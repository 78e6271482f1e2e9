"""What to do next for one Task: what starts a run of it, which runs are kept, what it says."""
