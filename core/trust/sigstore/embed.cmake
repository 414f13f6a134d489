# cmake -DIN=trusted_root.json -DOUT=….cpp -P embed.cmake: the file's bytes as a char array.
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," hex "${hex}")
file(WRITE ${OUT} "#include <cstddef>
namespace graft::sigstore {
extern const char kEmbeddedTrustedRoot[];
extern const std::size_t kEmbeddedTrustedRootSize;
const char kEmbeddedTrustedRoot[] = {
${hex}};
const std::size_t kEmbeddedTrustedRootSize = ${size};
}
")
