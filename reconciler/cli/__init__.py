"""The command line: one file per verb, text, tables, JSON and exit codes.

Called by the user through the `reconciler` script. It turns arguments into calls of the
layers below and their results into standard output; it decides nothing about containers,
and no other layer prints.
"""
