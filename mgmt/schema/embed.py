# Writes a header with the text of each schema: embed.py SCHEMA... HEADER
import pathlib
import sys

*schemas, header = map(pathlib.Path, sys.argv[1:])
lines = ["// Made by embed.py.", "#pragma once", "", "#include <string_view>", "", "namespace sluice::mgmt {", ""]
for schema in schemas:
    # No single string literal is long: compilers limit them.
    pieces = [f'    R"fbs({line}\n)fbs"' for line in schema.read_text().splitlines()]
    lines += [f"inline constexpr std::string_view {schema.stem}_schema =", "\n".join(pieces) + ";", ""]
lines += ["}  // namespace sluice::mgmt", ""]
header.write_text("\n".join(lines))
