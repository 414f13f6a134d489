// Jinja as chat templates use it. What stands here on the right is what Python's jinja2 3.1 gives, with
// trim_blocks and lstrip_blocks.
#include "graft/chat_template.h"
#include "support.h"

namespace graft {
namespace {

using testing::throws_error;

constexpr const char* variables =
    R"({"s":"a b","l":[1,2,3],"d":{"k":1,"z":"w"},"n":null,"u":"é日本","m":[{"r":"x","c":"1"},{"r":"y","c":"2"}]})";

std::string render(const std::string& source) {
  return ChatTemplate::parse(source).render_json(variables);
}
std::string value(const std::string& expression) {
  return render("{{ " + expression + " }}");
}

TEST(Jinja, WhiteSpaceAroundTagsIsControlledAsInTransformers) {
  EXPECT_EQ(render("a\n  {% if true %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc");
  EXPECT_EQ(render("a \n {%- if true -%} \n b \n {%- endif -%} \n c"), "abc");
  EXPECT_EQ(render("a\n  {%+ if true +%}\nb{% endif %}"), "a\n  \nb");
  EXPECT_EQ(render("a  {% if true %}b{% endif %}  c"), "a  b  c");
  EXPECT_EQ(render("  {{ 1 }}\n  {{- 2 -}}  \n3"), "  123");
  EXPECT_EQ(render("a\n  {# c #}\nb{#- d -#} e"), "a\nbe");
  EXPECT_EQ(render("\r\na\r\n"), "\na");
}

TEST(Jinja, OperatorsBindAsInPython) {
  EXPECT_EQ(value("1 + 2 * 3 - 4 // 3"), "6");
  EXPECT_EQ(value("-7 // 2 ~ ',' ~ -7 % 3 ~ ',' ~ 7 % -3"), "-4,2,-2");
  EXPECT_EQ(value("7 / 2"), "3.5");
  EXPECT_EQ(value("not false and none is none or x.y"), "True");
  EXPECT_EQ(value("1 < 2 < 3 ~ '' if false else 1 < 2 > 3"), "False");
  EXPECT_EQ(value("'a' if l else 'b' if n else 'c'"), "a");
  EXPECT_EQ(value("1 + l|length"), "4");
  EXPECT_EQ(value("'k' in d and 'q' not in d and 2 in l and 'b' in s"), "True");
  EXPECT_EQ(value("1 == 1.0 and true == 1 and 'a' != 1 and [1] == [1]"), "True");
  EXPECT_EQ(value("2 <= 2 and 3 >= 2 and 'a' < 'b'"), "True");
  EXPECT_EQ(value("- -3 + +1"), "4");
}

TEST(Jinja, LiteralsAndTheirEscapes) {
  EXPECT_EQ(value(R"('a\n\t\\\'\"\x41\u00e9\-' "b")"), "a\n\t\\'\"A\u00e9\\-b");
  EXPECT_EQ(value("[1, 'a',][1] ~ {'a': {'b': 2}}.a.b ~ (3) ~ (4, 5)[0] ~ ()|length"), "a2340");
  EXPECT_EQ(value("true ~ none ~ 1.5 ~ True ~ None"), "TrueNone1.5TrueNone");
}

TEST(Jinja, ItemsAttributesAndSlices) {
  EXPECT_EQ(value("d.k ~ d['z'] ~ l[0] ~ l[-1] ~ m[1].c ~ l.0"), "1w1321");
  EXPECT_EQ(value("u[0] ~ u[-1] ~ u[::-1] ~ u|length"), "é本本日é3");
  EXPECT_EQ(value("l[1:]|join ~ l[:-1]|join ~ l[::-1]|join ~ l[5:]|join ~ l[5:0:-2]|join ~ s[1:3]"),
            "23123213 b");
  EXPECT_EQ(value("d.absent ~ l[9] ~ absent"), "");
  EXPECT_EQ(value("d.get('k') ~ d.get('q', 7) ~ d.get('q')"), "17None");
}

TEST(Jinja, StringMethodsArePythons) {
  EXPECT_EQ(value("' a '.strip() ~ '|' ~ 'xxaxx'.strip('x') ~ '\\u3000a'.lstrip() ~ 'ab'.rstrip('b')"),
            "a|aaa");
  EXPECT_EQ(
      value("'a,b,,c'.split(',')|join('-') ~ ' a  b '.split()|join('-') ~ 'a b c'.split(' ', 1)|join('-')"),
      "a-b--ca-ba-b c");
  EXPECT_EQ(value("'abab'.replace('b', 'c') ~ 'abab'.replace('b', 'c', 1)"), "acacacab");
  EXPECT_EQ(value("s.startswith('a') ~ s.endswith('x')"), "TrueFalse");
  EXPECT_EQ(value("'aB cD'.upper() ~ 'aB'.lower() ~ 'aB cD'.title() ~ 'aB'.capitalize()"), "AB CDabAb CdAb");
  EXPECT_EQ(value("'-'.join(['a', 'b'])"), "a-b");
}

TEST(Jinja, Filters) {
  EXPECT_EQ(
      value("' a '|trim ~ 'xa'|trim('x') ~ s|upper ~ 'A'|lower ~ 'ab'|capitalize ~ s|replace('a', 'c')"),
      "aaA BaAbc b");
  EXPECT_EQ(value("l|first ~ l|last ~ l|count ~ l|reverse|join ~ 'ab'|reverse ~ '12'|int ~ 5|string ~ "
                  "'ab'|list|join('.')"),
            "133321ba125a.b");
  EXPECT_EQ(value("absent|default('x') ~ ''|default('y') ~ ''|d('z', true) ~ n|default(1)"), "xzNone");
  EXPECT_EQ(value("d|tojson ~ l|tojson ~ u|tojson ~ n|tojson ~ '\\n\"'|tojson"),
            R"({"k": 1, "z": "w"}[1, 2, 3]"é日本"null"\n\"")");
  EXPECT_EQ(value("m|selectattr('r', 'equalto', 'x')|map(attribute='c')|join ~ m|rejectattr('r', 'eq', "
                  "'x')|map(attribute='c')|join"),
            "12");
  EXPECT_EQ(value("d|items|first|first ~ m|selectattr('r')|list|length ~ 's'|safe"), "k2s");
}

TEST(Jinja, Tests) {
  EXPECT_EQ(value("s is string and d is mapping and l is iterable and l is sequence and n is none and x is "
                  "undefined"),
            "True");
  EXPECT_EQ(value("1 is integer and 1 is number and 1.5 is float and true is boolean and true is true and "
                  "false is false"),
            "True");
  EXPECT_EQ(
      value("1 is odd and 2 is even and 1 is eq 1 and 1 is ne(2) and 1 is in [1] and 'a' is equalto 'a'"),
      "True");
  EXPECT_EQ(value("s is not defined or x is not undefined or true is integer"), "False");
}

TEST(Jinja, LoopsHaveTheirVariablesFilterAndElse) {
  EXPECT_EQ(render("{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
                   "{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem "
                   "}};{% endfor %}"),
            "1032TrueFalse32;2121FalseFalse313;3210FalseTrue32;");
  EXPECT_EQ(render("{% for x in l if x != 2 %}{{ x }}{{ loop.index }}{% endfor %}"), "1132");
  EXPECT_EQ(render("{% for x in [] %}a{% else %}b{% endfor %}{% for x in absent %}a{% else %}c{% endfor %}"),
            "bc");
  EXPECT_EQ(
      render("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}"),
      "k=1;z=w;kz");
  EXPECT_EQ(
      render("{% for (k, v) in d|items %}{{ v }}{% endfor %}{% for v in d.values() %}{{ v }}{% endfor %}"),
      "1w1w");
  EXPECT_EQ(render("{% for x in l %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}"), "13");
  EXPECT_EQ(render("{% for x in l %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}"), "1");
  EXPECT_EQ(render("{% for c in u %}{{ c }}.{% endfor %}{% for x in range(3) %}{{ x }}{% endfor %}"),
            "é.日.本.012");
  EXPECT_EQ(value("range(1, 6, 2)|join ~ range(3, 0, -1)|join"), "135321");
}

TEST(Jinja, AssignmentsInALoopEndWithItUnlessInANamespace) {
  EXPECT_EQ(render("{% set x = 1 %}{% for y in l %}{% set x = y %}{{ x }}{% endfor %}{{ x }}"), "1231");
  EXPECT_EQ(render("{% set ns = namespace(a=1, b='') %}{% for y in l %}{% set ns.a = ns.a + y %}{% endfor "
                   "%}{{ ns.a }}{{ ns.c }}"),
            "7");
  EXPECT_EQ(render("{% if true %}{% set x = 1 %}{% endif %}{{ x }}"), "1");
  EXPECT_EQ(render("{% set x %}a{{ 1 }}{% endset %}[{{ x }}]"), "[a1]");
  EXPECT_EQ(render("{% if n %}a{% elif s %}b{% else %}c{% endif %}{% generation %}g{% endgeneration %}"),
            "bg");
}

TEST(Jinja, WhatIsNotSupportedIsNamed) {
  const std::vector<std::pair<std::string, std::string>> refused{
      {"{% macro f() %}{% endmacro %}", "macro"},
      {"{% include 'x' %}", "include"},
      {"{% set a, b = l %}", "several targets"},
      {"{% set x | upper %}{% endset %}", "set with a filter"},
      {"{% for x in l recursive %}{% endfor %}", "recursive"},
      {"{{ 2 ** 3 }}", "**"},
      {"{{ f(*l) }}", "* in a call"},
      {"{{ l|sort }}", "filter sort"},
      {"{{ s is upper }}", "test upper"},
      {"{{ strftime_now('%Y') }}", "strftime_now"},
      {"{{ s.zfill(3) }}", "zfill"},
      {"{{ d.pop('k') }}", "pop"},
      {"{{ d.items }}", "items uncalled"},
      {"{{ l.append(1) }}", "append"},
      {"{{ l }}", "printing a list"},
      {"{{ d }}", "printing a dict"},
      {"{{ u.upper() }}", "outside ASCII"},
      {"{{ s * 3 }}", "repeating"},
      {"{{ l|tojson(indent=2) }}", "argument indent"},
      {"{{ l|map('upper') }}", "map"},
      {"{{ 1.5 % 1 }}", "floats"},
      {"{{ 'x'|int }}", "not digits"},
      {"{{ namespace(d) }}", "namespace"},
      {"{{ 9223372036854775807 + 1 }}", "64 bits"},
      {"{{ 99999999999999999999 }}", "the number"},
      {"{{ (s)(1) }}", "a call"},
      {"{{ 'a'.replace('', 'b') }}", "replacing an empty"},
      {"{% for x in l %}{{ loop.cycle(1, 2) }}{% endfor %}", "cycle"},
      {"{{ " + std::string(200, '(') + "1" + std::string(200, ')') + " }}", "nested"},
      {"{{ 1" +
           [] {
             std::string sum;
             for (int i = 0; i < 2000; ++i) sum += "+1";
             return sum;
           }() +
           " }}",
       "this long"},
      {[] {
         std::string deep;
         for (int i = 0; i < 100; ++i) deep += "{% if true %}";
         return deep;
       }(),
       "this deep"},
  };
  for (const auto& [source, part] : refused) {
    EXPECT_TRUE(throws_error(ErrorCode::unsupported, part, [&] { render(source); })) << source.substr(0, 80);
  }
}

TEST(Jinja, WhatIsNotJinjaIsCorrupt) {
  for (const char* source : {"{{ 1",
                             "{% if true %}",
                             "{% endif %}",
                             "{{ }}",
                             "{{ 1 2 }}",
                             "{{ 'a }}",
                             "{# a",
                             "{{ a ? }}",
                             "{{ (1] }}",
                             "{{ ) }}",
                             "{% for in l %}{% endfor %}",
                             "{% for x l %}{% endfor %}",
                             "{% set = 1 %}",
                             "{% %}",
                             "{{ a. }}",
                             "{{ a| }}",
                             "{{ a is }}",
                             "{{ 1x }}",
                             "{{ l[1:2:3:4] }}",
                             "{{ l[1 2] }}",
                             "{{ a not b }}",
                             "{{ {1 2} }}",
                             "{% break %}",
                             "{% if true %}{% else %}{% elif x %}{% endif %}",
                             "{{ '\\ud800' }}",
                             "{{ '\\x4' }}",
                             "{{ '\\07' }}",
                             "{{ f(1 2) }}",
                             "{{ [1 2] }}",
                             "{% set x %}a"}) {
    EXPECT_TRUE(throws_error(ErrorCode::corrupt, "line 1", [&] { ChatTemplate::parse(source); })) << source;
  }
}

TEST(Jinja, WhatPythonWouldRaiseIsAnError) {
  for (const char* expression :
       {"absent.x",       "absent + 'a'",  "s + 1",           "1 // 0",  "1 % 0",
        "1 / 0",          "none + 1",      "1 < 'a'",         "l[::0]",  "1|length",
        "range(1, 2, 0)", "s.split('')",   "s.startswith(1)", "'' in 1", "1|join",
        "1|items",        "s.strip(1, 2)", "absent.f()",      "-s",      "raise_exception()",
        "m|selectattr",   "s[1:'a']"}) {
    EXPECT_TRUE(throws_error(ErrorCode::invalid_argument, "line 1", [&] { value(expression); }))
        << expression;
  }
  EXPECT_TRUE(throws_error(ErrorCode::invalid_argument, "namespace", [] { render("{% set s.a = 1 %}"); }));
  EXPECT_TRUE(throws_error(ErrorCode::invalid_argument, "targets",
                           [] { render("{% for a, b in [[1]] %}{% endfor %}"); }));
  EXPECT_TRUE(
      throws_error(ErrorCode::invalid_argument, "iterated", [] { render("{% for a in 1 %}{% endfor %}"); }));
}

TEST(Jinja, ATemplateThatRunsAwayIsStopped) {
  const std::string loops =
      "{% for a in range(10000) %}{% for b in range(10000) %}{{ a }}{% endfor %}{% endfor %}";
  EXPECT_TRUE(throws_error(ErrorCode::unsupported, "runs this long", [&] { render(loops); }));
  const std::string doubling =
      "{% set ns = namespace(x='a') %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
  EXPECT_TRUE(throws_error(ErrorCode::unsupported, "64 MiB", [&] { render(doubling); }));
  const std::string lists =
      "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  EXPECT_TRUE(throws_error(ErrorCode::unsupported, "a million", [&] { render(lists); }));
  EXPECT_TRUE(throws_error(ErrorCode::unsupported, "range", [] { value("range(1000000)|length"); }));
  const std::string long_output = "{% set x = 'aaaaaaaaaa' * 1 %}";
  EXPECT_TRUE(throws_error(ErrorCode::unsupported, "repeating", [&] { render(long_output); }));
}

}  // namespace
}  // namespace graft
