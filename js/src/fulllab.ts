/** The bundle of figures that hold a user's component and a view of views/lab. */
export { open, widget } from './full';
import './labviews';
