"""The API: the two kinds as models, the closed set of reasons, and the CRDs made from them.

Pure data. Nothing here does I/O, reads a clock, logs, or imports another room of taskmill.
"""
