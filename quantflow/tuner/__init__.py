"""The tuner's steps, each choosing one kind of number; `quantflow.tuner.tune` puts them in order."""
