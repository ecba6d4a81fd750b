"""VOC files as tools write them: encodings, nesting, and names that say something else."""

import pytest

from zerostart.datasets.cards import SplitFiles
from zerostart.datasets.voc import read_voc
from zerostart.errors import InputError

VOC = SplitFiles(annotations="xml", images="images", list="train.txt")
SIZE = "<size><width>10</width><height>8</height></size>"
OBJECT = "<object><name>{}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6</ymax></bndbox></object>"


def read(folder, content, stems="a", listed="a\n"):
    for name in ("xml", "images"):
        (folder / name).mkdir(exist_ok=True)
    for stem in stems:
        (folder / f"images/{stem}.jpg").touch()
    (folder / "train.txt").write_text(listed)
    (folder / "xml/a.xml").write_bytes(content)
    return read_voc(folder, VOC)


@pytest.mark.parametrize("encoding", ["GBK", "UTF-16", "ISO-8859-1", "Shift_JIS", "utf-8"])
def test_any_encoding_that_python_knows(tmp_path, encoding):
    name = "déchet" if encoding == "ISO-8859-1" else "划痕" if encoding != "Shift_JIS" else "傷"
    text = f"<annotation>{SIZE}{OBJECT.format(name)}</annotation>"
    declared = (
        text.encode(encoding) if encoding == "UTF-16" else f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding)
    )
    (record,) = read(tmp_path, declared)
    assert record.objects[0].class_name == name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f'<?xml version="1.0" encoding="klingon"?><annotation>{SIZE}</annotation>'.encode(),
            "the encoding 'klingon', which is unknown",
        ),
        (b'<?xml version="1.0" encoding="GBK"?><annotation>\xff\xff</annotation>', "not the GBK that it declares"),
        (f"<annotation>{SIZE}<part>{OBJECT.format('dent')}</part></annotation>".encode(), "an <object> inside another element"),
        (f"<annotation><filename>b.jpg</filename>{SIZE}</annotation>".encode(), "its filename is 'b.jpg', another picture"),
        (f"<annotation><filename>C:\\x\\b.png</filename>{SIZE}</annotation>".encode(), "another picture of the data set"),
    ],
)
def test_refusals(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content, "ab")


def test_objects_in_objects_are_read(tmp_path):
    (record,) = read(tmp_path, f"<annotation>{SIZE}<objects>{OBJECT.format('dent')}</objects></annotation>".encode())
    assert [(item.class_name, item.box) for item in record.objects] == [("dent", (1, 2, 3, 4))]


def test_a_list_of_a_windows_editor(tmp_path):
    assert len(read(tmp_path, f"<annotation>{SIZE}</annotation>".encode(), listed="\ufeffa\r\n")) == 1
