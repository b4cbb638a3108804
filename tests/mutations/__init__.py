"""The tests can fail: mutations of the product, each of which they must catch.

`mutation` is what a mutation is, `table` lists them as data; `python -m tests.mutations --help`, or
`make mutations`, applies them one by one to copies of the repository (`trial`) and tells what caught each.
"""
