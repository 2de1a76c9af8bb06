# Turns the comment at the top of a header into the description of the file. The added line takes the place of
# #pragma once, so warnings about what follows keep their line numbers.
1s,^// ,/// @file\n/// ,
0,/^#pragma once$/s,^//\( \|$\),///\1,
/^#pragma once$/d
