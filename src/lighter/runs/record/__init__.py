"""What a run leaves behind: its record, kept up while it runs."""
