"""From a folder to labelled samples: what is there, what it is called, which samples belong together.

No torch, no decoding: files are told apart by their first bytes. What cannot be used becomes a finding.
"""

from handful.data.samples import Dataset, Finding, Sample
from handful.data.scan import load_data, unlabelled

__all__ = ["Dataset", "Finding", "Sample", "load_data", "unlabelled"]
