# Pictures and links outside docs/: relative to build/docs/.
s,!\[\([^]]*\)\](\.\./\([^)]*\)),<img src="../../\2" alt="\1">,g
s,\[\([^]]*\)\](\.\./\([^)]*\)),<a href="../../\2">\1</a>,g
# Doxygen does not resolve links to a heading of another page.
s,\](\([a-z_]*\.md\)#[^)]*),](\1),g
# R@k is not a command.
s,R@k,R\\@k,g
