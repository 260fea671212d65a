import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { adoptKeyFromAddress } from "./api/key";
import { Speaking } from "./i18n/language";
import "./style/index.css";
import { App } from "./ui/app";

adoptKeyFromAddress();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Speaking>
      <App />
    </Speaking>
  </StrictMode>,
);
