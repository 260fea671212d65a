// Something that is on or off, and takes effect at once. It shows how things are, so a change that fails leaves it.
import { useId } from "react";

export function Switch(props: { label: string; about: string; on: boolean; onSwitch: (on: boolean) => void }) {
  const about = useId();
  return (
    <div className="switch">
      <label>
        <span>{props.label}</span>
        <input
          type="checkbox"
          role="switch"
          checked={props.on}
          aria-describedby={about}
          onChange={(event) => props.onSwitch(event.target.checked)}
        />
      </label>
      <p id={about} className="soft">
        {props.about}
      </p>
    </div>
  );
}
