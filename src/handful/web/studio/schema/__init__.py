"""The shapes that go over the wire between the studio's pages and its server; OpenAPI is made of them.

Know names and types only. Times are seconds since 1970, durations seconds, sizes bytes, probabilities 0 to 1. Routes import the
module of their area.
"""
