"""Whatever lies where a JSON or YAML file is expected: plain values or one sentence, at once."""

import json
import os
import socket
import time

import pytest
import yaml

from zerostart.errors import InputError
from zerostart.records import parse_json, read_bytes, read_json, read_yaml

NINES = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10))
BOMB = f"a0: &a0 [lol]\n{NINES}\n"

HOSTILE_YAML = {
    "alias bomb": (BOMB, "line 7: more than 1,000,000 values, with aliases written out"),
    "alias in itself": ("a: &x [1, *x]\n", "the alias 'x' in line 1 lies in what it names"),
    "unknown alias": ("a: *x\n", "not valid YAML"),
    "repeated key": ("seed: 0\nseed: 1\n", "'seed' stands twice in one mapping, again in line 2"),
    "repeated inner key": ("lr: {head: 1, head: 2}\n", "'head' stands twice"),
    "nested deeply": ("[" * 5000 + "]" * 5000, "nested too deeply"),
    "nested 150 times": ("a: " + "[" * 150 + "]" * 150, "nested too deeply"),
    "5,000 digits": (f"seed: {'9' * 5000}\n", "in line 1 is too large"),
    "5,000 hexadecimal digits": (f"seed: 0x{'f' * 5000}\n", "in line 1 is too large"),
    "a list as a key": ("? [a, b]\n: 1\n", "plain keys are expected"),
    "half a surrogate pair": ('a: "\\ud800"\n', "surrogate"),
    "a date that is none": ("a: 2001-99-99\n", "month"),
    "an object of Python": ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
    "a control character": ("a: \x00\n", "not valid YAML"),
    "not UTF-8": ("a: ä\n".encode("latin-1"), "not UTF-8 text"),
    "UTF-16": ("a: 1\n".encode("utf-16"), "not UTF-8 text"),
    "half a file": ("a: [1, 2\n", "not valid YAML"),
}
HOSTILE_JSON = {
    "NaN": ('{"a": NaN}', "NaN is no number"),
    "infinity": ('{"a": -Infinity}', "-Infinity is no number"),
    "beyond float64": ('{"a": 1e999}', "1e999 is too large"),
    "5,000 digits": (f'{{"a": {"9" * 5000}}}', "too large"),
    "beyond 64 bits": ('{"a": 9223372036854775808}', "too large"),
    "repeated key": ('{"id": 1, "id": 2}', "'id' stands twice"),
    "nested deeply": ("[" * 100_000, "nested too deeply"),
    "half a surrogate pair": ('{"a": ["\\uD800"]}', "surrogate"),
    "empty": ("", "not valid JSON"),
    "half a file": ('{"a": [1, 2', "not valid JSON"),
    "two values": ("{} {}", "not valid JSON"),
    "not UTF-8": (b'{"a": "\xff"}', "not UTF-8 text"),
}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(read, path) -> str:
    with pytest.raises(InputError) as error:
        read(path, "the stage `x` writes it")
    message = str(error.value)
    assert message.startswith(f"{path}: ") and len(message) < 600 and "\n" not in message
    return message


@pytest.mark.parametrize("case", HOSTILE_YAML)
def test_yaml_is_refused_in_one_sentence(tmp_path, case):
    content, said = HOSTILE_YAML[case]
    assert said in refused(read_yaml, write(tmp_path / "a.yaml", content))


@pytest.mark.parametrize("case", HOSTILE_JSON)
def test_json_is_refused_in_one_sentence(tmp_path, case):
    content, said = HOSTILE_JSON[case]
    assert said in refused(read_json, write(tmp_path / "a.json", content))


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_only_a_regular_file_is_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))  # a socket's name is short
        said = {"pipe": "is a pipe", "folder": "is a folder", "loop": "cannot be read", "socket": "cannot be read"}
        for name, words in said.items():
            assert words in refused(read, tmp_path / name)
    for device in ("/dev/zero", "/dev/tty0", "/dev/null"):
        if os.path.exists(device):
            refused(read, device)
    refused(read, tmp_path / "file/below")
    with pytest.raises(InputError, match="cannot be read"):
        read(f"{tmp_path}/\0", "")
    assert refused(read, tmp_path / "none").endswith("none: no such file; the stage `x` writes it")


def test_a_large_file_is_not_read(tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(5 << 20)  # a hole
    assert "is larger than 4,194,304 bytes" in refused(read_yaml, tmp_path / "large")
    assert len(read_bytes(tmp_path / "large", "", 5 << 20)) == 5 << 20


def test_a_byte_order_mark_is_accepted(tmp_path):
    assert read_json(write(tmp_path / "a", b'\xef\xbb\xbf{"a": 1}'), "") == {"a": 1}
    assert read_yaml(write(tmp_path / "a", b"\xef\xbb\xbfa: 1\n"), "") == {"a": 1}


def test_what_is_valid_is_read_as_the_libraries_read_it(tmp_path):
    text = '{"a": [1, -2, 1.5, 1e-3, true, null, "\\ud83d\\ude00 \\u00e4"], "b": {"a": {}}, "c": 9223372036854775807}'
    assert parse_json(text, "x") == json.loads(text)
    text = "a: [1, 0x1f, 1e-05, 1.0e+3, yes, ~, 'ä', 2001-01-02, -7]\nb: {a: {}, c: .inf}\n? x\n: |\n  two\n  lines\n"
    assert read_yaml(write(tmp_path / "a", text), "") == yaml.safe_load(text)
    assert read_yaml(write(tmp_path / "a", ""), "") is None


def test_an_alias_is_what_it_names(tmp_path):
    """PyYAML writes one itself where a value occurs twice."""
    value = {"a": (shared := ["x", {"y": 1}]), "b": shared, "c": [shared, shared]}
    path = write(tmp_path / "a.yaml", yaml.safe_dump(value))
    assert "*id001" in path.read_text() and read_yaml(path, "") == value


def test_in_another_project_s_yaml_the_last_of_two_equal_keys_wins(tmp_path):
    path = write(tmp_path / "a.yaml", "a: 1\na: 2\n")
    assert read_yaml(path, "", foreign=True) == {"a": 2}
    with pytest.raises(InputError, match="more than 1,000,000 values"):
        read_yaml(write(path, BOMB), "", foreign=True)


def test_a_repeated_key_among_many_is_found_at_once():
    text = "{" + ", ".join(f'"{k}": 0' for k in [*range(200_000), 199_999]) + "}"
    started = time.monotonic()
    with pytest.raises(InputError, match="the key '199999' stands twice in one object"):
        parse_json(text, "a.json")
    assert time.monotonic() - started < 10
