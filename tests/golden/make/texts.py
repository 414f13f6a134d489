"""What the tokenizer goldens encode: languages, scripts, whitespace, digits, code, specials and oddities."""

LANGUAGES = [
    "", "a", " ", "Hello, world!", " Hello, world!", "Hello, world! ", "The quick brown fox jumps over the lazy dog.",
    "I'm sure they've said it'll be 'fine', and she'd agree we're OK, isn't it?", "I'M SURE THEY'VE SAID IT'LL BE FINE",
    "What is gravity? Answer in two sentences.", "naïve café résumé coöperate façade", "Ångström Ærø Þór ßẞ Œuvre",
    "Der Fuß läuft über die Straße; größer, schöner, öfter.", "L'été où l'on s'aimait… « déjà vu »",
    "El niño comió piñata — ¿qué más? ¡Nada!", "Não há coração são", "Zażółć gęślą jaźń", "Příliš žluťoučký kůň",
    "Şişli'de İstanbul ıhlamur", "Привет, мир! Как дела? Объём — 3½ литра", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "שלום עולם, מה שלומך?", "مرحبا بالعالم، كيف الحال؟", "مَرْحَبًا بِالعَالَمِ", "नमस्ते दुनिया, आप कैसे हैं?", "ক্ষুদ্র বাংলা",
    "தமிழ் வணக்கம்", "ภาษาไทยไม่มีช่องว่างระหว่างคำ", "မြန်မာ ဘာသာ", "ქართული ენა", "Հայերեն լեզու", "አማርኛ ቋንቋ",
    "你好,世界!今天天气怎么样?", "繁體中文:龍、龜、鬱", "こんにちは、世界。カタカナとひらがなと漢字", "ｶﾀｶﾅ ｈａｌｆ／ｆｕｌｌ", "안녕하세요 세계", "한국어 띄어쓰기",
    "Tiếng Việt có dấu: ổ ễ ự", "ᚠᚢᚦᚨᚱᚲ ᛫ ᛗᛖ", "𐌲𐍉𐍄𐌹𐍃𐌺", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕞𝕒𝕥𝕙 𝒶𝓃𝒹 𝓼𝓬𝓻𝓲𝓹𝓽", "ǅ ǈ ǋ ª º ⁿ", "ʻOkina ʼn Hawaiʻi",
]

EMOJI_AND_MARKS = [
    "😀", "😀😁😂🤣", "I ❤️ you", "👍🏽👍🏿", "👨‍👩‍👧‍👦 family", "🏳️‍🌈🏴‍☠️", "🇩🇪🇯🇵🇺🇸", "1️⃣2️⃣#️⃣", "☕️ vs ☕ vs ☕︎", "a😀b😀c",
    "e\u0301 vs \u00e9", "A\u030a vs \u00c5 vs \u212b", "n\u0303o\u0308u\u0308", "\u1112\u1161\u11ab vs \ud55c", "Z\u0351\u0352\u0353a\u0300\u0301\u0302lgo",
    "q\u0323\u0307 vs q\u0307\u0323", "\u0301 starts with a mark", "\ufb01 \ufb02 \u2460 \u00bd \u2122 \u33a1", "o\u0335 \u0338\u0338", "\u0e33 \u0e4d\u0e32",
]

WHITESPACE = [
    "  ", "   ", "        ", "\n", "\n\n", "\n\n\n\n", "\t", "\t\t", "\r\n", "\r\n\r\n", "\r", " \n", "\n ", " \n \n ", "a  b", "a   b", "a\tb",
    "a \t b", "a\n  b\n    c\n", "  leading", "trailing  ", "a\u00a0b", "a\u2003b \u2003 c", "a\u3000b", "a\u200bb\u200c\u200dc", "\u2028line\u2029para",
    "x\u0085y", "\u180e \u202f \u205f", "a \u00a0 b", "tabs\t\t\tand   spaces \t mixed\n\n\n  end", "\x0b\x0c\x1c\x1d\x1e\x1f", " \u00a0\n\u2003\t x",
]

DIGITS = [
    "0", "7", "42", "2024", " 2024", "3.14159265358979", "1,234,567.89", "1e-5 0x1F 0b1010 1_000", "v2.11.0+cu130", "+49 (0)30 123456-78",
    "12:34:56.789 2026-11-22", "x1y22z333", "١٢٣٤٥ ۱۲۳", "१२३ ๑๒๓ 一二三", "²³¹ ½ ¾ ⅷ Ⅻ ①②③", "１２３", "5  6   7", "10^100", "$19.99 €5 £3 ¥1000 50% 10‰", "𝟏𝟐𝟑 𝟬𝟭",
]

CODE = [
    "def f(x):\n    return x ** 2 + 1  # square\n", "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }", "std::vector<std::pair<int, std::string>> v{{1, \"a\"}};",
    "#include <graft/graft.h>\nusing namespace graft;\n", "SELECT * FROM t WHERE a='x' AND b>=10;", "<div class=\"a\" id='b'>&nbsp;</div>", "{\"key\": [1, 2.5, null, true], \"s\": \"\\u00e9\\n\"}",
    "https://example.org/path/to?q=1&r=%20#frag", "user.name+tag@example.co.uk", "C:\\Users\\me\\file.txt", "/usr/local/bin:/bin", "a->b != c && !d || ~e ^ f", "regex: ^\\s*(?:\\p{L}+|\\d{2,4})$",
    "--flag=value -x --no-install", "```python\nprint('hi')\n```", "# Title\n\n* item **bold** _it_\n1. one", "=== !!! ??? ... ___ --- ***", "\"quotes\" 'single' `back` “curly” ‘c’ „low“", "(){}[]<>", "snake_case camelCase PascalCase SCREAMING_CASE kebab-case",
]

ODDITIES = [
    "\x00", "a\x00b", "\x01\x02\x03", "a\x04b\x06c\x13d\x14e\x16f", "\x04", "\x7f\x80\x9f", "\ufeffBOM", "\ufffd\ufffd", "\ufffe\uffff", "\ue000\uf8ff private", "\U0010ffff\U000f0000", "\U00040000 \U0008ffff", "\U000e0041\U000e007f",
    "\u202eright to left\u202c", "a" * 300, "ab" * 200, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "-" * 100, " " * 100 + "x", "\n" * 50, "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "supercalifragilisticexpialidocious antidisestablishmentarianism", "ACGTACGTTTAGGCATCGATCGGATTACA", "dGhlIHF1aWNrIGJyb3duIGZveA==", "Ġhello Ċ âĢĻ Ã©", "\\n \\t \\u0041 &amp; %20",
]


def with_specials(start, end, stop):
    """Special tokens alone, glued, broken, spaced, and in running text; the names differ by tokenizer."""
    return [
        start, end, stop, f"{start}user\nHello{end}\n", f"{start}{start}{end}", f"a{stop}b", f"a {stop} b", f"{stop}{stop}", f" {start} ", f"\n{end}\n",
        start[:-1], start[1:], f"<{start}>", start.upper(), f"text {start[:6]} {start[6:]}", f"12{end}34", f"é{end}é", f"{end}  {end}", "<|not_special|>", "<think>\nhm\n</think>\n\nyes",
    ]


TEXTS = (LANGUAGES + EMOJI_AND_MARKS + WHITESPACE + DIGITS + CODE + ODDITIES
         + with_specials("<|im_start|>", "<|im_end|>", "<|endoftext|>"))

# English to train the tiny tokenizers on, so that common words become tokens as in a real vocabulary.
ENGLISH = [
    "The lighthouse keeper climbed the stairs every evening, lit the lamp, and wrote down the weather in a small book.",
    "One morning, after a storm, he found a bottle in the sand. There was a message in the bottle, and the message was for him.",
    "A kernel is a function that runs on a device; a layer is the place in a model where the kernel is called.",
    "You are a helpful assistant. Answer the question of the user in one word, and think before you answer.",
    "It is what it is: the theory of the thing, the sum of the parts, the state of the art and the rest of the story.",
    "They say that there are three kinds of people, those who can count and those who can't; we've counted them, and we'll count again.",
    "system user assistant tool function name arguments content role message answer question thought thinking",
    "if else for while return int float double const auto std string vector import from class def self None True False",
] * 3
