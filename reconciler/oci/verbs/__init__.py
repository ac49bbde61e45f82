"""One file for each verb, with a function `run(runtime, options, arguments)` -> exit code."""
