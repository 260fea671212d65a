// Appearance, language, the way to what is remembered, and the way out.
import { useWords, useLanguage, type Language } from "../i18n/language";
import { Dialog } from "./dialog";
import { type Theme, useTheme } from "./theme";

interface Props {
  onProfile: () => void;
  onSignOut: () => void;
  onClose: () => void;
}

export function Settings({ onProfile, onSignOut, onClose }: Props) {
  const words = useWords();
  const [theme, chooseTheme] = useTheme();
  const { language, choose } = useLanguage();
  const themes: Record<Theme, string> = { system: words.system, light: words.light, dark: words.dark };
  const languages: Record<Language, string> = { en: "English", zh: "中文" };
  return (
    <Dialog title={words.settings} onClose={onClose}>
      <Choice name={words.theme} options={themes} chosen={theme} onChoose={chooseTheme} />
      <Choice name={words.language} options={languages} chosen={language} onChoose={choose} />
      <button type="button" onClick={onProfile}>
        {words.known}
      </button>
      <button type="button" className="link danger" onClick={onSignOut}>
        {words.signOut}
      </button>
    </Dialog>
  );
}

function Choice<T extends string>(props: {
  name: string;
  options: Record<T, string>;
  chosen: T;
  onChoose: (value: T) => void;
}) {
  return (
    <fieldset className="choice">
      <legend>{props.name}</legend>
      <div>
        {(Object.entries(props.options) as [T, string][]).map(([value, label]) => (
          <label key={value}>
            <input
              type="radio"
              name={props.name}
              checked={value === props.chosen}
              onChange={() => props.onChoose(value)}
            />
            <span>{label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
