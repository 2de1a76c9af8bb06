// Which symbols a shared library exports. The library is compiled with hidden visibility; each public header
// opens its namespace as `namespace SOTALIGN_API sotalign {`, which exports the declarations in that block.
// Forward declarations of internal types stay outside such blocks.
#pragma once

#define SOTALIGN_API [[gnu::visibility("default")]]
