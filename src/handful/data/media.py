"""Is this file a picture, a sound, or neither? Decided by its first bytes, never by its name."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .heic .heif .avif".split())
AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .au .caf .w64 .rf64 .m4a .aac .mp4 .3gp .webm .weba".split()
)
SUFFIXES = {"image": IMAGE_SUFFIXES, "audio": AUDIO_SUFFIXES}
ALL_SUFFIXES = IMAGE_SUFFIXES | AUDIO_SUFFIXES
HEAD_BYTES = 64

_STARTS = (
    (b"\xff\xd8\xff", "image"), (b"\x89PNG\r\n\x1a\n", "image"), (b"GIF87a", "image"), (b"GIF89a", "image"), (b"BM", "image"),
    (b"II*\x00", "image"), (b"MM\x00*", "image"), (b"fLaC", "audio"), (b"OggS", "audio"), (b"ID3", "audio"), (b"RF64", "audio"),
    (b".snd", "audio"), (b"caff", "audio"), (b"riff\x2e\x91\xcf\x11", "audio"), (b"\x1aE\xdf\xa3", "audio"),
)  # fmt: skip
_PICTURE_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_SOUND_BRANDS = (b"M4A ", b"M4B ", b"M4P ")


def sniff(head: bytes) -> str | None:
    """ "image", "audio" or None, from at least the first 16 bytes of a file."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        return "audio"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "audio"
    if head[4:8] == b"ftyp":
        return "image" if head[8:12] in _PICTURE_BRANDS else "audio"
    # MPEG audio frame: eleven set bits, a layer that is not reserved, a bit rate and a sample rate that exist. AAC (ADTS) has layer 0.
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        layer, rate, frequency = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
        if (layer and rate not in (0, 15) and frequency != 3) or head[1] & 0xF6 == 0xF0:
            return "audio"
    return None


def video(head: bytes) -> bool:
    """Whether what `sniff` calls audio, because only its sound can be used, begins as videos do: MP4, QuickTime or Matroska."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in _PICTURE_BRANDS + _SOUND_BRANDS
    return head.startswith(b"\x1aE\xdf\xa3")
