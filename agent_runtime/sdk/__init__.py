"""What a Python program holds: handles, streams, results. Written once as coroutines; the sync face bridges to them."""
