import { mount } from "svelte";

import App from "./App.svelte";
import "./app.css";
import { live } from "./lib/live.svelte";
import { nav } from "./lib/nav.svelte";
import { prefs } from "./lib/prefs.svelte";
import { session } from "./lib/session.svelte";

prefs.load();
session.load();
nav.start();
live.start();

const target = document.getElementById("app");
if (target !== null) mount(App, { target });
