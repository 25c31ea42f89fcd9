"""The process beside a real browser: it shows a release to it and writes down what was seen.

Apart from the worker and the API, under a guard and a time limit of its own: whatever a page of a
branch or the browser does, nothing but this process ends, and all of it ends with this process.
It reads one job on standard input, writes files into the job's directory, and decides nothing.
"""
