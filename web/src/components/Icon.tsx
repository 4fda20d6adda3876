// Icons as single paths on a 16-pixel grid.
const PATHS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  span: "M2 3h1.5v10H2zM12.5 3H14v10h-1.5zM5.5 4.5v7l5.5-3.5z",
  loop: "M4 5h6V3l3.5 3L10 9V7H5v2.5H3V6a1 1 0 0 1 1-1zM12 11H6v2l-3.5-3L6 7.9",
  closer:
    "M7 2a5 5 0 1 1-3.1 8.9A5 5 0 0 1 7 2zm0 1.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM6.3 4.8h1.4v1.5h1.5v1.4H7.7v1.5H6.3V7.7H4.8V6.3h1.5zM10.6 11.7l1-1 3.2 3.2-1 1z",
  wider:
    "M7 2a5 5 0 1 1-3.1 8.9A5 5 0 0 1 7 2zm0 1.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM4.8 6.3h4.4v1.4H4.8zM10.6 11.7l1-1 3.2 3.2-1 1z",
  all: "M1 3h1.5v10H1zM13.5 3H15v10h-1.5zM6 5v2h4V5l3.5 3L10 11V9H6v2L2.5 8z",
  download: "M7.2 2h1.6v6h2.7L8 11.6 4.500 8h2.700zM3 12.500h10V14H3z",
  link: "M6.500 9.500a2.800 2.800 0 0 1 0-4l2-2a2.830 2.830 0 0 1 4 4l-1 1-1-1 1-1a1.400 1.400 0 0 0-2-2l-2 2a1.400 1.400 0 0 0 0 2zM9.500 6.500a2.800 2.800 0 0 1 0 4l-2 2a2.830 2.830 0 0 1-4-4l1-1 1 1-1 1a1.400 1.400 0 0 0 2 2l2-2a1.400 1.400 0 0 0 0-2z",
  star: "M8 1.800l1.900 4 4.300.6-3.100 3 .8 4.300L8 11.600l-3.900 2.100.8-4.300-3.100-3 4.300-.6z",
  previous: "M10.500 3v10L4.500 8z",
  next: "M5.500 3v10l6-5z",
  dice: "M3 2.500h10a.5.5 0 0 1 .5.5v10a.5.5 0 0 1-.5.5H3a.5.5 0 0 1-.5-.5V3a.5.5 0 0 1 .5-.5zM4 4v8h8V4zm1.200 1.200h1.900v1.900H5.200zm1.850 1.850h1.900v1.900h-1.900zm1.850 1.850h1.900v1.900H8.900z",
  close:
    "M3.500 4.600l1.100-1.100L8 6.900l3.400-3.400 1.100 1.100L9.100 8l3.400 3.400-1.100 1.100L8 9.100l-3.400 3.400-1.100-1.100L6.900 8z",
  microphone:
    "M8 1.500a2 2 0 0 1 2 2V8a2 2 0 1 1-4 0V3.500a2 2 0 0 1 2-2zM3.500 7.500H5V8a3 3 0 0 0 6 0v-.5h1.500V8a4.500 4.500 0 0 1-3.750 4.440V14.500h-1.500v-2.060A4.500 4.500 0 0 1 3.500 8z",
  stop: "M3.500 3.500h9v9h-9z",
  moon: "M9.500 1.800A6.500 6.500 0 1 0 14.200 10 5.500 5.500 0 0 1 9.500 1.800z",
  sun: "M8 4.500a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7zM7.300 0.800h1.400v2H7.300zM7.300 13.200h1.400v2H7.300zM.8 7.300h2v1.400h-2zM13.200 7.300h2v1.400h-2z",
  auto: "M8 1.500a6.500 6.500 0 1 1 0 13 6.500 6.500 0 0 1 0-13zM8 3v10a5 5 0 0 1 0-10z",
} as const;

export type IconName = keyof typeof PATHS;

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
    <path d={PATHS[name]} fill-rule="evenodd" />
  </svg>
);

interface ButtonProps {
  icon: IconName;
  label: string;
  onClick: (event: MouseEvent) => void;
  pressed?: boolean;
  disabled?: boolean;
  title?: string;
}

/** A button that shows an icon; its label is read out and shown as a tooltip. */
export const IconButton = ({ icon, label, onClick, pressed, disabled, title }: ButtonProps) => (
  <button
    type="button"
    class="icon-button"
    aria-label={label}
    aria-pressed={pressed}
    title={title ?? label}
    disabled={disabled}
    onClick={onClick}
  >
    <Icon name={icon} />
  </button>
);
