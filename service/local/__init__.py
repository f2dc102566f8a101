"""A study on this machine, without a server: the run directory, the loop over tasks, the inputs."""
