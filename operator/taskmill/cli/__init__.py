"""`kubectl task`: what people do with Tasks and their runs, with the rights that they have.

Parse, call, render: `commands` has a module for each word, `view` reads what the API server says,
`show` renders it without asking anybody, `kubeapi` asks. Imports are late: most of the time a
command takes is its own start.
"""
