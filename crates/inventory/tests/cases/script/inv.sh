#!/bin/sh
if [ "$1" = --list ]; then echo '{"g1":["a","b"],"g2":{"hosts":["b"],"vars":{"v":"{{ x }}"},"children":["g3"]},"lonely":{"some":"var"},"g3":{}}'; else echo "{\"me\":\"$2\"}"; fi
