"""A run as a job of SLURM: what it asks for, the config that it freezes, the script that it runs."""
