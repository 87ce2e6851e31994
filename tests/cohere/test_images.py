"""Images in a user's message: what is taken, what is refused before anything is sent, and what goes out."""

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from support.cohere_chat import chat

from agentkit import InputError
from agentkit.cohere.images import MAX_BYTES, check_images, image
from agentkit.testing import CohereServer


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0\0"))
    + chunk(b"IEND", b"")
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L"
FRAME = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0"
COLOURS = b"\0\0\0\xff\xff\xff"
DELAY = b"\x21\xf9\x04\0\x0a\0\0\0"
LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
GIF = b"GIF89a\x01\0\x01\0\x80\0\0" + COLOURS + DELAY + FRAME + b"\x3b"
ANIMATED = b"GIF89a\x01\0\x01\0\x80\0\0" + COLOURS + LOOP + DELAY + FRAME + DELAY + FRAME + b"\x3b"


def url(kind, data):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(("kind", "data"), [("png", PNG), ("jpeg", JPEG), ("webp", WEBP), ("gif", GIF)])
def test_every_kind_from_every_source(tmp_path, kind, data):
    path = tmp_path / "picture.bin"
    path.write_bytes(data)
    wanted = {"type": "image_url", "image_url": {"url": url(kind, data)}}
    for source in (data, path, str(path), url(kind, data), url("png", data), f"DATA:;base64,{url(kind, data)[-999:]}"):
        if isinstance(source, str) and source.startswith("DATA:"):
            source = "DATA:;base64," + base64.b64encode(data).decode()
        assert image(source) == wanted, "what it is decides, not what it is called"


def test_a_web_address_is_left_to_cohere():
    assert image("https://example.com/a.tiff", detail="low") == {
        "type": "image_url",
        "image_url": {"url": "https://example.com/a.tiff", "detail": "low"},
    }


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "The bytes given is no image Cohere takes: it holds nothing. Give png, jpeg, webp or gif"),
        (b"%PDF-1.7", "it holds b'%PDF-1.7'. Give png, jpeg, webp or gif without animation"),
        (b"BM\x36\0", "no image Cohere takes"),
        (ANIMATED, "The bytes given is an animated gif, which Cohere does not take"),
        ("nowhere.png", "The image nowhere.png cannot be read: No such file or directory"),
        ("a\0b", "cannot be read"),
        (".", "cannot be read: Is a directory"),
        ("", "'' is no image: give a path, bytes, an http(s) URL or a data: URL"),
        ("  ", "is no image"),
        (None, "None is no image: give a path"),
        (7, "7 is no image: give a path"),
        ("data:image/png,abc", "a data URL begins with data:image/png;base64,"),
        ("data:image/png;base64,%%%", "The data URL is not valid base64"),
        ("data:image/png;base64," + base64.b64encode(b"hello").decode(), "The data URL is no image Cohere takes"),
    ],
)
def test_what_is_no_image(source, said):
    with pytest.raises(InputError) as told:
        image(source)
    assert said in str(told.value)


def test_too_large(tmp_path):
    big = PNG + b"\0" * MAX_BYTES
    path = tmp_path / "Big.png"
    path.write_bytes(big)
    with pytest.raises(InputError, match=r"The bytes given has 20\.0 MB and Cohere takes 20 MB"):
        image(big)
    with pytest.raises(InputError, match=r"The file .*Big\.png has 20\.0 MB"):
        image(path)


def test_a_wrong_detail():
    with pytest.raises(InputError, match=r"image\(detail='max'\): give 'auto', 'low', 'high' or None"):
        image(PNG, detail="max")  # type: ignore[arg-type]


@given(st.binary(max_size=60))
def test_any_bytes_after_the_start_of_a_gif(rest):
    for start in (b"GIF89a", GIF[:-1], GIF[:13]):
        try:
            made = image(start + rest)
        except InputError as error:
            assert "animated" in str(error)
        else:
            assert made["image_url"]["url"].startswith("data:image/gif;base64,")


# --- in a request ---------------------------------------------------------------------------------------------


def test_what_goes_out():
    parts = [
        "What is this?",
        image(PNG, detail="high"),
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "image", "url": "https://example.com/b.png"},
        {"type": "image", "base64": base64.b64encode(JPEG).decode(), "mime_type": "image/jpeg"},
    ]
    with CohereServer(["A dot."]) as server:
        assert chat(server, model="command-a-vision-07-2025").invoke([HumanMessage(parts)]).text == "A dot."
    assert server.requests[0].body["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url("png", PNG), "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/b.png"}},
        {"type": "image_url", "image_url": {"url": url("jpeg", JPEG)}},
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"detail": "low"}},
        {"type": "image_url", "image_url": {"url": "picture.png"}},
        {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,AAAA"}},
        {"type": "image"},
        {"type": "image", "url": "file:///etc/passwd"},
        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
        {"type": "image", "base64": "not base64", "mime_type": "image/png"},
    ],
)
def test_parts_that_are_refused_before_they_are_sent(part):
    with CohereServer([]) as server, pytest.raises(InputError):
        chat(server, model="command-a-vision-07-2025").invoke([HumanMessage([{"type": "text", "text": "look"}, part])])
    assert server.refused == []


def test_too_many_images_in_all_messages_together():
    one = image("https://example.com/a.png")
    with CohereServer(["20 of them."]) as server:
        model = chat(server, model="command-a-vision-07-2025")
        model.invoke([HumanMessage([one] * 12), HumanMessage([one] * 8)])
        with pytest.raises(InputError, match="hold 21 images and Cohere takes 20"):
            model.invoke([HumanMessage([one] * 12), HumanMessage([one] * 9)])


def test_too_many_bytes_in_all_messages_together():
    half = {"role": "user", "content": [image(PNG + b"\0" * (MAX_BYTES // 2 - len(PNG)))]}
    check_images([half, half])
    with pytest.raises(InputError, match=r"images of 20\.0 MB together and Cohere takes 20 MB"):
        check_images([half, half, {"role": "user", "content": [image(PNG)]}])
