"""W on other libraries, each as its documentation would have it; run with a Python that has them.

`python -m benchmarks.peers.NAME sqlite FOLDER RUNS ONE_BY_ONE` (or `postgresql DSN …`) prints one JSON line; exit
status 3 where the library is not installed. They import nothing of this product.
"""
