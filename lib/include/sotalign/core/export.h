// Which symbols a shared library shows. The library is compiled with hidden symbols; each public header opens
// its namespace as `namespace SOTALIGN_API sotalign {`, which makes the block's declarations visible. Forward
// declarations of internal types stay outside of such a block.
#pragma once

#define SOTALIGN_API [[gnu::visibility("default")]]
