#!/bin/sh
echo '{"scr":{"hosts":["s1","s2"],"vars":{"a":1.5}},"_meta":{"hostvars":{"s1":{"z":[1,null,true]}}},"par":{"children":["scr","web"]}}'
