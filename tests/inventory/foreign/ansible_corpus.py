"""Small Ansible inventories, each for one feature or quirk: name -> its files.

The first file (or the folder, for names that end in `/`) is the inventory. What stands in `REFUSED`
must be refused here, whatever Ansible makes of it; everything else must come to what Ansible says.
"""

from __future__ import annotations

INI = {
    "one host": "web\n",
    "ungrouped hosts first": "lone\n[web]\nweb-1\n",
    "a host in ungrouped and in a group": "web-1\n[web]\nweb-1\n",
    "comments": "# one\n; two\n[web] # three\nweb-1 # four\n  ; five\n",
    "blanks around": "  [web]  \n   web-1    ansible_port=2222   \n\n\n",
    "aliases": "web ansible_host=192.0.2.1 ansible_port=2222 ansible_user=ops\n",
    "old names": "web ansible_ssh_host=192.0.2.1 ansible_ssh_port=2222 ansible_ssh_user=ops\n",
    "quotes": "web ansible_user='ops' ansible_host=\"192.0.2.1\"\n",
    "quotes with blanks": "web ansible_ssh_common_args='-o A=b -J jump' x=\"a b\"\n",
    "quotes in quotes": "web ansible_user='\"ops\"' ansible_port=\"'22'\"\n",
    "escaped": r"web ansible_user=ACME\\ops x=a\ b" + "\n",
    "a hash in a word": "web ansible_user=ops#1 ansible_port=22\n",
    "a quoted hash": "web ansible_user='ops#1'\n",
    "numbers": "web ansible_port=0x16\nweb2 ansible_port=2_2\nweb3 ansible_port=22.0\n",
    "truths": "a ansible_become=True\nb ansible_become=true\nc ansible_become=yes\n"
    "d ansible_become=1\n",
    "none": "web ansible_user=None\n",
    "lists": "web ansible_user=['a'] ansible_port={'a':1}\n",
    "empty value": "web ansible_user=\n",
    "equals in a value": "web ansible_user=a=b\n",
    "a port behind the name": "web:2222\ndb:22 ansible_port=23\n",
    "a port counts only at first": "web\n[web2]\nweb:2222\n",
    "port zero": "web:0\n",
    "an address": "192.0.2.1\n192.0.2.2:2222\n",
    "ipv6": "2001:db8::1\n[2001:db8::2]:2222\n",
    "range": "web[01:12].example\n",
    "range with a step": "web[01:20:3]\nweb[0:10:5]\n",
    "range of letters": "db-[a:f]\nx[a:k:4]\ny[x:B]\n",
    "two ranges": "r[1:2]-n[a:b].example:2222\n",
    "range in an address": "192.0.2.[1:3]\n",
    "range in ipv6": "2001:db8::[1:3]\n[2001:db8::[a:c]]:22\n",
    "range without a beginning": "web[:3]\n",
    "an empty range": "[web]\nweb[3:1]\nweb-x\n",
    "range with variables": "[web]\nweb[1:2] ansible_user=ops ansible_port=2222\n",
    "long numbers": "web[098:101]\nweb[9:11]\n",
    "children": "[web]\na\n[db]\nb\n[all-of-it:children]\nweb\ndb # and that\n",
    "children first": "[prod:children]\nweb\n[web]\na\n",
    "grandchildren": "[a:children]\nb\n[b:children]\nc\n[c]\nhost ansible_user=x\n",
    "a group named twice": "[web]\na\n[db]\nb\n[web]\nc\n",
    "a diamond": "[x]\nh\n[l:children]\nx\n[r:children]\nx\n[t:children]\nl\nr\n"
    "[l:vars]\nansible_user=l\n[r:vars]\nansible_user=r\n[t:vars]\nansible_port=1\n",
    "group variables": "[web]\na\n[web:vars]\nansible_user = ops\nansible_port=22\nx: y=1\n",
    "quoted group variables": "[all:vars]\nansible_user='ops' # kept\nansible_port=22 # also\n"
    "[web]\na\n",
    "a hash in a group variable": "[all:vars]\nansible_user=ops # no comment\n[web]\na\n",
    "variables before the group": "[web:vars]\nansible_user=ops\n[web]\na\n",
    "all": "[all:vars]\nansible_user=ops\n[all]\na\n[web]\nb\n",
    "near groups win": "[far:children]\nnear\n[near]\na\n[far:vars]\nansible_user=far\n"
    "[near:vars]\nansible_user=near\n",
    "names decide in one depth": "[b]\nh\n[a]\nh\n[a:vars]\nansible_user=a\n"
    "[b:vars]\nansible_user=b\n",
    "priority decides before names": "[b]\nh\n[a]\nh\n[a:vars]\nansible_user=a\n"
    "ansible_group_priority=10\n[b:vars]\nansible_user=b\n",
    "depth decides before priority": "[a:children]\nb\n[b]\nh\n[a:vars]\nansible_user=a\n"
    "ansible_group_priority=99\n[b:vars]\nansible_user=b\n",
    "priority of all": "[all:vars]\nansible_group_priority=99\nansible_user=all\n[b]\nh\n"
    "[b:vars]\nansible_user=b\n",
    "the host wins": "[web]\na ansible_user=own\n[web:vars]\nansible_user=group\n",
    "the last word on a host": "[a]\nh ansible_user=one\n[b]\nh ansible_user=two\n",
    "a host called like its group": "[default]\ndefault ansible_host=192.0.2.1\nother\n",
    "a host before a group of its name": "web\n[web]\na\n",
    "names with signs": "[my-group.x]\nweb_1\nweb.2\n3\n",
    "unicode": "[größe]\nbüro ansible_host=192.0.2.1\n",
    "windows": "[win]\npc[1:2]\n[win:vars]\nansible_connection=winrm\n"
    "ansible_user='ACME\\ops'\nansible_password=keyring:x\n",
    "windows line ends": "[web]\r\na ansible_user=ops\r\n[web:vars]\r\nansible_port=22\r\n",
    "a mixture of separators": "[web]\na\x0bb\n",
    "nothing": "# nothing\n",
    "an empty group": "[web]\n[db:children]\nweb\n",
    "a template nobody needs": "[all:vars]\nx={{ lookup('env', 'HOME') }}\n[web]\na\n",
    "a template": "web ansible_host='{{ x }}.example'\n",
    "a vaulted text": "web ansible_password='$ANSIBLE_VAULT;1.1;AES256'\n",
    "a name like a number": "10\n",
    "a label that ends with a dash": "web-:22\n",
}
TREES = {
    "yaml": "all:\n  hosts:\n    a:\n      ansible_user: ops\n  children:\n    web:\n"
    "      hosts: {b: }\n",
    "yaml without all": "web:\n  hosts:\n    a:\ndb:\n  children:\n    web:\n",
    "yaml text for a section": "web:\n  hosts: a\n  children: db\n",
    "yaml range": "web:\n  hosts:\n    web[01:03]:2222:\n      ansible_user: ops\n",
    "yaml one point one": "web:\n  hosts:\n    a: {ansible_become: yes, ansible_port: 022}\n"
    "    b: {ansible_become: off, ansible_port: 22:22, ansible_user: 1_000}\n"
    "    c: {ansible_user: ~, ansible_port: 0x16, ansible_host: 1e3}\n",
    "yaml date": "web:\n  hosts:\n    a: {ansible_user: 2024-07-19}\n",
    "yaml anchors": "x: &x\n  vars: &v {ansible_user: ops, ansible_port: 22}\n  hosts: {a: }\n"
    "y:\n  vars:\n    <<: *v\n    ansible_port: 23\n  hosts:\n    b: *v\n",
    "yaml merge of two": "a: {vars: &a {ansible_user: a, ansible_port: 1}}\n"
    "b: {vars: &b {ansible_user: b, ansible_host: h}}\nc:\n  hosts:\n    h:\n      <<: [*a, *b]\n",
    "yaml key twice": "web:\n  hosts:\n    a:\n    b:\n  hosts:\n    c:\n",
    "yaml vault": "web:\n  hosts:\n    a:\n      ansible_password: !vault |\n"
    "        $ANSIBLE_VAULT;1.1;AES256\n        6162\n",
    "yaml unsafe": "web:\n  hosts:\n    a:\n      ansible_user: !unsafe 'o{{p}}s'\n"
    "      ansible_port: !unsafe 22\n",
    "yaml unknown keys": "web:\n  hosts: {a: }\n  foo: {x: 1}\n  bar: 3\nbaz: 3\n",
    "yaml vars of a child": "a:\n  children:\n    b:\n      vars: {ansible_user: b}\n"
    "      hosts: {h: }\n"
    "  vars: {ansible_user: a}\n",
    "yaml priority": "b:\n  hosts: {h: }\n  vars: {ansible_user: b}\na:\n  hosts: {h: }\n"
    "  vars: {ansible_user: a, ansible_group_priority: 3}\n",
    "yaml group like host": "web:\n  hosts:\n    web: {ansible_host: 192.0.2.1}\n    b:\n",
    "yaml flow": '{"all": {"hosts": {"a": {"ansible_port": 22}}, "children": {"w": null}}}\n',
    "yaml falsy variables": "web:\n  hosts:\n    a: []\n    b: ''\n    c: 0\n    d: no\n",
    "yaml empty sections": "web:\n  hosts:\n  vars:\n  children:\ndb:\n",
    "yaml with a document start": "%YAML 1.1\n---\nweb:\n  hosts:\n    a:\n...\n",
}
FILES = {
    "group and host variables": {
        "hosts": "[web]\na ansible_user=inline\nb\n[db]\nb\n[web:vars]\nansible_user=w\n",
        "group_vars/all.yml": "ansible_user: all-file\nansible_port: 1\n",
        "group_vars/web.yml": "ansible_port: 2\n",
        "group_vars/db": "ansible_port: 3\nansible_become: true\n",
        "host_vars/a.yaml": "ansible_port: 4\n",
        "host_vars/b.json": '{"ansible_user": "b-file"}',
    },
    "a file of all beats an inline group": {
        "hosts": "[web]\na\n[web:vars]\nansible_user=inline\n",
        "group_vars/all.yml": "ansible_user: file\n",
    },
    "a folder of variables": {
        "hosts": "[web]\na\n",
        "group_vars/web/10-x.yml": "ansible_user: ten\nansible_port: 10\n",
        "group_vars/web/20-y": "ansible_port: 20\n",
        "group_vars/web/30-z.txt": "ansible_port: 30\n",
        "group_vars/web/40~": "ansible_port: 40\n",
        "group_vars/web/.50.yml": "ansible_port: 50\n",
        "group_vars/web/15-sub/a.yml": "ansible_become: true\n",
        "group_vars/web/16.d/a.yml": "ansible_become: false\n",
        "group_vars/web.yml": "ansible_host: not-read\n",
    },
    "the first ending counts": {
        "hosts": "a\n",
        "host_vars/a.yaml": "ansible_port: 2\n",
        "host_vars/a.yml": "ansible_port: 1\n",
        "host_vars/a.json": '{"ansible_port": 3}',
    },
    "ungrouped has variables too": {
        "hosts": "a\n[web]\nb\n",
        "group_vars/ungrouped.yml": "ansible_user: lone\n",
    },
    "an empty variable file": {"hosts": "a\n", "host_vars/a.yml": "---\n# nothing\n"},
    "priority in a file means nothing": {
        "hosts": "[b]\nh\n[a]\nh\n",
        "group_vars/a.yml": "ansible_user: a\nansible_group_priority: 9\n",
        "group_vars/b.yml": "ansible_user: b\n",
    },
    "variables in a file are yaml": {
        "hosts.yml": "web: {hosts: {a: }}\n",
        "group_vars/web": "ansible_port: 0o22\nansible_become: on\nansible_user: '{{ x }}'\n",
    },
    "names with dots in files": {
        "hosts": "web.example.com\n",
        "host_vars/web.example.com": "ansible_user: plain\n",
        "host_vars/web.example.com.yml": "ansible_user: dotted\n",
    },
    "two files in a folder/": {
        "inv/10-a": "[web]\na ansible_user=one\n",
        "inv/20-b.yml": "web: {hosts: {b: }, vars: {ansible_port: 22}}\ndb: {hosts: {a: }}\n",
        "inv/group_vars/web.yml": "ansible_become: true\n",
        "inv/README.md": "not an inventory",
        "inv/ansible.cfg": "[defaults]\n",
        "inv/x.retry": "a\n",
        "inv/.hidden": "???\n",
    },
    "a folder in a folder/": {
        "inv/sub/hosts": "[web]\na\n",
        "inv/sub/group_vars/web.yml": "ansible_user: not-read\n",
        "inv/group_vars/web.yml": "ansible_user: read\n",
        "inv/top": "[all:vars]\nansible_port=7\n",
    },
    "a later file adds to a group of an earlier/": {
        "inv/a": "[web]\na\n",
        "inv/b": "[prod:children]\nweb\n[web:vars]\nansible_user=b\n",
    },
    "ini in a yml file": {"hosts.yml": "# a common slip\n[web]\n192.0.2.1\n"},
}
PRINTED = {
    "lists of hosts": '{"web": {"hosts": ["a", "b"], "vars": {"ansible_user": "ops"}},'
    ' "db": {"hosts": ["b"], "children": ["old"]}, "old": {},'
    ' "_meta": {"hostvars": {"a": {"ansible_host": "192.0.2.1"}, "z": {"x": 1}}}}',
    "a bare list": '{"web": ["a", "b"], "_meta": {"hostvars": {}}}',
    "all with children": '{"all": {"children": ["web", "ungrouped"], "vars": {"ansible_port": 22}},'
    ' "web": {"hosts": ["a"]}, "ungrouped": {"hosts": ["b"]}, "_meta": {"hostvars": {}}}',
    "a mapping without sections": '{"a": {"ansible_host": "192.0.2.1"}, "_meta": {"hostvars": {}}}',
    "escapes": '{"w": {"hosts": ["a"]}, "_meta": {"hostvars": {"a":'
    ' {"ansible_user": "\\u00fc\\/\\ud83d\\ude00", "ansible_port": 2.2e1}}}}',
    "wrapped texts": '{"w": {"hosts": ["a"]}, "_meta": {"hostvars": {"a":'
    ' {"ansible_user": {"__ansible_unsafe": "ops"}}}}}',
}
REFUSED_INI = {
    "a mark before the first name": "\ufeffweb\n",
    "an unknown section": "[web:hosts:x]\na\n",
    "an unknown kind": "[web:things]\na\n",
    "an undeclared child": "[a:children]\nb\n",
    "variables of nobody": "[a:vars]\nx=1\n",
    "no section": "[a b]\nc\n",
    "a word too many": "web 22\n",
    "a quote that never ends": "web x='1\n",
    "a variable without value": "[all:vars]\nx\n",
    "a range without an end": "web[1:]\n",
    "a range of nothing": "web[1]\n",
    "a range of words": "web[ab:ef]\n",
    "unequal lengths": "web[01:100]\n",
    "a step of zero": "web[1:2:0]\n",
    "letters backwards": "web[f:a]\n",
    "a colon at the end": "web:\ndb\n",
    "a yaml start": "---\n[web]\na\n",
    "a circle": "[a:children]\nb\n[b:children]\na\n",
    "a group in itself": "[a:children]\na\n",
    "all below a group": "[a:children]\nall\n[b]\nc\n",
    "ungrouped below a group": "x\n[a:children]\nungrouped\n[b]\nc\n",
    "a priority of words": "[a]\nb\n[a:vars]\nansible_group_priority=high\n",
    "a child with more": "[a]\nb\n[c:children]\na x\n",
    "a value as a host": "[web]\nansible_user=ops\n",
}
REFUSED_YAML = {
    "a list of hosts": "web:\n  hosts:\n    - a\n",
    "a plugin": "plugin: amazon.aws.aws_ec2\n",
    "a number for a host": "web:\n  hosts:\n    10:\n",
    "a truth for a group": "on:\n  hosts:\n    a:\n",
    "a strange tag": "web:\n  hosts:\n    a: !!python/none\n",
    "an own tag": "web:\n  hosts:\n    a: !x {b: 1}\n",
    "two documents": "web:\n  hosts: {a: }\n---\ndb:\n  hosts: {b: }\n",
    "no mapping": "- web\n- db\n",
    "an open bracket": "web: {hosts: [a\n",
    "a circle": "a:\n  children:\n    b:\n      children:\n        a:\n",
    "a child that is a number": "a:\n  children:\n    b: 3\n",
    "variables in a list": "web:\n  hosts:\n    a: [x]\n",
    "a mapping in itself": "web: &w\n  hosts: *w\n  vars: {<<: *w}\n",
    "an empty file": "---\n",
    "a host in no group with the name of one": "all: {hosts: {web: }}\nweb: {hosts: {a: }}\n",
}
