"""The OCI command line: what runc and crun do, by this engine. Beside `cli`, apart from it.

A config.json becomes a Config (`translate`), a verb becomes a call of the engine (`verbs`).
It imports the engine and what is below, and as little of that as a verb needs: the whole of
`run` is to take no longer than runc's.
"""
