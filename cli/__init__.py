"""The command line: one module for each verb, which makes a request of the options and passes it on."""
