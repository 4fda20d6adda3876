import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/player.css";
import "./style/views.css";
import { render } from "preact";
import { start } from "./api/store";
import { App } from "./App";
import { listenToKeys } from "./keyboard";

void start();
listenToKeys();
render(<App />, document.getElementById("app")!);
