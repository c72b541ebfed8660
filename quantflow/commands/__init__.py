"""The subcommands: each file has NAME, EXAMPLES (for `--help`) and `run`, whose signature is its options."""
