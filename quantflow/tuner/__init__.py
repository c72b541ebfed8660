"""The tuner's steps, each choosing one kind of number; `quantflow.tune` puts them in order."""
