"""The command line: one module a verb, which reads the options into a request and hands that on."""
