"""What a run leaves behind and says: its folder, checkpoints, scores, pictures, logs, progress."""
