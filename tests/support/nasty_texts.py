"""Texts that tokenisers disagree on."""

from __future__ import annotations

NASTY: tuple[str, ...] = (
    "",
    " ",
    "\x00",
    "a\x00b a\x0bb a\x1cb a\x85b",
    "tab\tline\nreturn\rpage\x0cend",
    "Where is my order #12-34?!",
    "don't re-use e.g. U.S. $5.00 (50%)",
    "naïve café Ångström ÅNGSTRÖM İstanbul ΣΑΣ ὈΔΥΣΣΕΎΣ ß ẞ ﬁ ǅ",
    "e\u0301\u0323 o\u0338 \u0301a \u1100\u1161\u11a8 각",
    "zero\u200bwidth joi\u200dner soft\u00adhyphen bom\ufeff bidi\u202eabc\u202c tag\U000e0041",
    "中文字符 日本語のテキスト 한국어 العربية עברית हिन्दी ไทย Русский ελληνικά 豈",
    "😀 👨‍👩‍👧‍👦 🇩🇪 ☃️ ❤️ 1️⃣",
    "def f(x: int) -> str:\n\treturn f'{x!r:>10}'  # ok\n",
    "SELECT * FROM `t` WHERE a <= 3 AND b != 'x';",
    "https://example.org/a/b?c=d&e=%20f#g me@example.org",
    "[UNK] [CLS] [SEP] [PAD] ##ing ## #",
    "x" * 100,
    "x" * 101,
    "é" * 101,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000",
    "\ufffd \ufffe \uffff \U0010ffff \ue000",
    "\u166d\u1734\u0378\u061d\u180e\u2e55\U0001f9ff\U00011f00",
    "\U0001d165\U0001d16e\u302e\u302f\u0301",
    "".join(map(chr, range(0x250))),
    "word " * 5000,
)
